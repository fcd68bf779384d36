/** More histories, others each time, and more releases. */
import './update-versions.test.js';
import './update.test.js';

/** More ways in which machines are lost. */
import './backup.test.js';
import './bucket.test.js';
import './lost-workers.test.js';

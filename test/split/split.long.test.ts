/** Every realm, mode and release, and more moments of a kill. */
import './other-releases.test.js';
import './split.test.js';
import './unfinished.test.js';

/** Many more random servers. */
import './isolation.test.js';
import './whole-export.test.js';

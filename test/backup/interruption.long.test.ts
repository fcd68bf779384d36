/** More moments of a kill. */
import './interruption.test.js';

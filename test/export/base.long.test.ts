/** Hundreds of histories. */
import './base.test.js';

/** Many more alterations, others each time. */
import './schema-alterations.test.js';

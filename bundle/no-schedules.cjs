/** Stands for cron-parser in the bundle: pg-boss asks it for jobs at given times, of which there are none here, and it brings a library of time zones. */
'use strict';
module.exports = {
  parseExpression() {
    throw new Error('there are no schedules');
  },
};

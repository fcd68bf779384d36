/**
 * Whether this is `make test-kill`. It runs the files *.long.test.ts, of which some are other files once more: with the cases and rounds
 * that are of the same kind as those of `make test`, and that one who changes something need not wait for.
 */
export const LONG = (process.env.LONG_TESTS ?? '') !== '';

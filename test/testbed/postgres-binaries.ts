/** The demo has it too: see src/demo/postgres-binaries.ts. */
export * from '../../src/demo/postgres-binaries.js';

/** The demo has it too: see src/demo/postgres-server.ts. */
export * from '../../src/demo/postgres-server.js';

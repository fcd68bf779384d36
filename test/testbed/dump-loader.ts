/** The demo has it too: see src/demo/dump-loader.ts. */
export * from '../../src/demo/dump-loader.js';

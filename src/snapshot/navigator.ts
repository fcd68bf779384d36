/**
 * Node has `navigator` from version 21 on. Where it lacks, pg asks `Response` whether it runs at Cloudflare's, for which Node
 * loads its whole fetch: 30 ms in every thread. To be imported before pg.
 */
if (!('navigator' in globalThis)) Object.defineProperty(globalThis, 'navigator', { value: { userAgent: `Node.js/${process.versions.node}` }, configurable: true });

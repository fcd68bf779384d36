import type { FileStore } from '../../src/files/file-store.js';

/** A store that gives a file when `gate` lets it. */
export function gated(store: FileStore, gate: () => Promise<unknown>): FileStore {
  return new Proxy(store, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== 'fetch') return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
      return async (...given: Parameters<FileStore['fetch']>) => {
        await gate();
        return target.fetch(...given);
      };
    },
  });
}

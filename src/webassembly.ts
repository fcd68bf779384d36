/** WebAssembly, which Node has and its types have not, as far as we use it. What is compiled to it stands in assembly/. */
import { readFileSync } from 'node:fs';

/** Bytes of a page of its memory. */
export const MEMORY_PAGE = 64 * 1024;

export interface Memory {
  /** Another one after it has grown. */
  readonly buffer: ArrayBuffer;
  grow(pages: number): void;
}

declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Memory: new (size: { readonly initial: number; readonly maximum?: number }) => Memory;
  readonly Instance: new (module: object, imports: Imports) => { readonly exports: unknown };
};

type Imports = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const modules = new Map<string, object>();

/**
 * Memory that begins on a page's boundary, filled with zeros.
 *
 * @returns undefined where the address space is limited: ten GiB of it are set aside for each, so that no access needs to be checked
 */
export function newMemory(bytes: number): Memory | undefined {
  try {
    return new WebAssembly.Memory({ initial: Math.ceil(bytes / MEMORY_PAGE) });
  } catch {
    return undefined;
  }
}

/** @param module of assembly/, which V8 compiles once for all threads @returns what it exports */
export function instance(module: URL, memory: Memory, imports: Imports = {}): unknown {
  let compiled = modules.get(module.href);
  if (compiled === undefined) modules.set(module.href, compiled = new WebAssembly.Module(readFileSync(module)));
  return new WebAssembly.Instance(compiled, { env: { memory }, ...imports }).exports;
}

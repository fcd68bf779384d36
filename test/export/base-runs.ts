/** Exports of a grown database with a base, in this process, which is cheaper than one of its own. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BasePlace } from '../../src/export/base/base.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { exportRealm, type Choices, type TestSource } from './test-source.js';

export interface BaseMember { readonly rows: string; readonly taken_over: { readonly messages_files: number; readonly messages_files_but_for_a_few_rows: number; readonly files: number } }

/** What the report says of the base. */
export function baseOf(directory: string): BaseMember {
  return (JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as { base: BaseMember }).base;
}

export const place = (directory: string): BasePlace => ({ directory, shownAs: directory, hasFiles: true });

export const CHOICES = { randomSeed: 'test', verify: false } as const;

export async function grownSource(url: string): Promise<TestSource> {
  const uploadsDir = await uploadsDirectory('zulip-11/local');
  return { dataset: 'zulip-11/local', url, openStore: () => openLocalStore({ uploadsDir }) };
}

/** Exports acme. */
export async function exportHere(url: string, output: string, base?: string, choices: Choices = {}): Promise<string> {
  return exportRealm(await grownSource(url), output, 'acme', { ...CHOICES, jobs: 1, base: base === undefined ? undefined : place(base), ...choices });
}

/** A fresh export, and one that catches up with the base. */
export async function both(url: string, root: string, base: string, choices: Choices = {}): Promise<[fresh: string, caught: string]> {
  return Promise.all([exportHere(url, join(root, 'fresh'), undefined, choices), exportHere(url, join(root, 'caught'), base, choices)]);
}

/** Of which no end comes to whoever reads it. */
export function becomesFifo(path: string): void {
  rmSync(path);
  spawnSync('mkfifo', [path]);
}

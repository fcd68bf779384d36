/** What manifest and report of an export say of how it was rewritten for another server. */
import type { ManifestHeader } from './manifest.js';

/** Key among the options of a manifest: one entry for each remapping, the first first. */
export const REMAPS = 'remapped';

interface Remap {
  readonly ids: 'all' | 'none';
  readonly bots: boolean;
  readonly clients: boolean;
}

/** As the report has it. */
export interface Remapped extends Remap {
  readonly points_outside: number;
}

/** The last remapping of an export that has one. */
export function remapOf({ options }: ManifestHeader): Remap {
  return (options[REMAPS] as readonly Remap[]).at(-1) as Remap;
}

/** What all remappings of a report come to; undefined where there are none. */
export function remappedBy(report: object): Remapped | undefined {
  const remaps = Object.entries(report).flatMap(([key, value]) => (/^remapped(?:_\d+)?$/.test(key) ? [value as Remapped] : []));
  const last = remaps.at(-1);
  return last && { ids: remaps.some(({ ids }) => ids === 'all') ? 'all' : 'none', bots: remaps.some(({ bots }) => bots), clients: remaps.some(({ clients }) => clients), points_outside: last.points_outside };
}

/** Whether all rows have other ids than on their server, and not bots and clients alone. */
export function hasOtherIds({ options }: ManifestHeader): boolean {
  return ((options[REMAPS] ?? []) as { readonly ids?: string }[]).some(({ ids }) => ids === 'all');
}

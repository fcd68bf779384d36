/** What the manifest of an export says of how its ids were rewritten. */
import type { ManifestHeader } from '../package/manifest.js';

/** Key among the options of a manifest: one entry for each remapping, the first first. */
export const REMAPS = 'remapped';

/** Whether all rows have other ids than on their server, and not bots and clients alone. */
export function hasOtherIds({ options }: ManifestHeader): boolean {
  return ((options[REMAPS] ?? []) as { readonly ids?: string }[]).some(({ ids }) => ids === 'all');
}

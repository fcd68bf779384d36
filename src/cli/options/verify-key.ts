/** Whose signature a backup must have, and what a summary says of its origin. */
import type { KeyObject } from 'node:crypto';
import { readVerifyKey } from '../../backup/contents/signature.js';

/** @throws RealmliftError as {@link readVerifyKey} */
export async function verifyKeyOf(file: string | undefined): Promise<KeyObject | undefined> {
  return file === undefined ? undefined : readVerifyKey(file);
}

export function originText(proved: boolean): string {
  return proved ? 'origin proved' : 'origin not proved (no --verify-key)';
}

/** Where the test data lies: test/data of the source tree, from the compiled file in dist/test/testbed. */
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..', '..');

/** A database with its files, and what Zulip's own export made of them. */
export type Dataset = 'zulip-11/local' | 'zulip-11/s3' | 'zulip-8/local' | 'zulip-12/local' | 'zulip-4/local';

/** A server onto which a realm may come. */
export type NewServer = 'zulip-11/new-server' | 'zulip-11/after-import';

/** The avatar_salt of the new server. */
export const NEW_SALT = 'e2bafed77db71717b1f1cca0f589615652c677363ef4ed56e9be9769a7badd17';

/** Absolute path of a file in test/data, e.g. `testData('zulip-11/local', 'uploads.tar.gz')`. */
export function testData(...parts: string[]): string {
  return join(ROOT, 'test', 'data', ...parts);
}

/** The server's `avatar_salt` secret when the expected exports were made. */
export const AVATAR_SALT: Readonly<Record<Dataset, string>> = {
  'zulip-11/local': '4b7ac520072a131d20696d2908d75637218edff82dbf6d8a1eecdf4f2af163c2',
  'zulip-11/s3': '4b7ac520072a131d20696d2908d75637218edff82dbf6d8a1eecdf4f2af163c2',
  'zulip-12/local': 'e2bafed77db71717b1f1cca0f589615652c677363ef4ed56e9be9769a7badd17',
  'zulip-4/local': 'e54bdbf255f775684db61cc09781b77129cd7c9c172fbe0085f8c2d41dd39f6d',
  'zulip-8/local': '76922e81dfd3faa53e4acef50fe594ce5497057acaaf1c7752607e1817e4f04a',
};

/**
 * `npm run build-unchecked`: each module as tsc makes it, in a second, but without its types. The next `npm run build` is a whole one, for
 * tsc knows what it wrote itself and not what came after it.
 */
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const ROOT = join(import.meta.dirname, '..');
const { include } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8'));

rmSync(join(ROOT, 'dist', '.tsbuildinfo'), { force: true });
const sources = include.flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true }).map((path) => join(folder, path)));
await build({
  absWorkingDir: ROOT, entryPoints: sources.filter((path) => /(?<!\.d)\.ts$/.test(path)), outbase: '.', outdir: 'dist',
  format: 'esm', platform: 'node', sourcemap: true, sourcesContent: false, logLevel: 'warning',
});

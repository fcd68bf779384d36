/**
 * `npm run bundle`: makes dist/bundle/ out of the compiled modules: the command line and its threads as a few chunks, a command's own loaded
 * when it is called, with V8's compiled form of each for this Node (load.cjs). The same modules in dist/src/ are what programs import.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { build, transform } from 'esbuild';
import { compileChunks } from './compile-chunks.js';

const ROOT = join(import.meta.dirname, '..');
const SOURCE = join(ROOT, 'dist', 'src');
const FINAL = join(ROOT, 'dist', 'bundle');
const MADE = `${FINAL}.partial`;

/** How a module names what a thread of its begins with, beside itself. */
const THREAD = /new URL\(["']\.\/([\w-]+)\.js["'], import\.meta\.url\)/g;

/** What begins a process or a thread, by its name in the bundle. */
const programs = { realmlift: join(SOURCE, 'cli.js') };
for (const file of readdirSync(join(ROOT, 'src'), { recursive: true }).filter((path) => path.endsWith('.ts'))) {
  for (const [, name] of readFileSync(join(ROOT, 'src', file), 'utf8').matchAll(THREAD)) {
    if (name in programs) throw new Error(`two programs are called ${name}`);
    programs[name] = join(SOURCE, dirname(file), `${name}.js`);
  }
}

/** Stays outside: libraries of machine code, and what the driver asks for in vain. */
const EXTERNAL = ['sharp', '@mongodb-js/zstd', 'pg-native'];

/** A thread begins with its program of the bundle; a module still knows where it stands. */
const places = {
  name: 'places',
  setup(building) {
    building.onLoad({ filter: /\.js$/ }, ({ path }) => {
      const place = relative(SOURCE, path);
      if (place.startsWith('..')) return undefined;
      const text = readFileSync(path, 'utf8').replace(/^#!.*/, '')
        .replaceAll(THREAD, (_, name) => `new URL(moduleUrl('../bundle/${name}.cjs'))`)
        .replaceAll('import.meta.url', `moduleUrl(${JSON.stringify(place)})`);
      return { contents: text, loader: 'js' };
    });
  },
};

/** How a chunk names what it takes from another one, and what others may take of it. */
const IMPORTED = /^import (?:\{([^}]*)\} from )?"\.\/([\w-]+)\.js";$/gm;
const EXPORTED = /^export \{([^}]*)\};$/m;

/** Is all that others may take of it there when it has run, and never another? Libraries that are required begin when they are asked for. */
function isFinal({ text }) {
  return [...(EXPORTED.exec(text)?.[1] ?? '').matchAll(/(\w+)(?: as \w+)?/g)].every(([, local]) => {
    const given = text.match(new RegExp(`(?<![\\w$.])${local} ?(?:=(?![=>])|\\+\\+|--|[-+*/%|&^?]{1,2}=)`, 'g'))?.length ?? 0;
    const declared = new RegExp(`^(?:async )?(?:function\\*?|class) ${local}\\b`, 'm').test(text) ? 1 : 0;
    const empty = new RegExp(`^(?:var|let) (?:\\w+, )*${local}[,;]`, 'm').test(text);
    return given + declared <= 1 && !empty;
  });
}

/**
 * Chunks as modules of the new kind are all that esbuild cuts; `load` takes those of the old, as V8 keeps a compiled form of these alone.
 * What is final becomes a variable of the chunk that takes it: esbuild would ask two getters each time it is used, a third of a load's
 * processor time.
 */
async function chunkOf({ path, text }, final) {
  const name = basename(path, '.js');
  const taken = text.replaceAll(IMPORTED, (all, names, from) => final.has(from) ? `${names === undefined ? '' : `const {${names.replaceAll(' as ', ': ')}} = `}require("./${from}.js");` : all);
  const linked = final.has(name) ? taken.replace(EXPORTED, (_, names) => `module.exports = {${names.replaceAll(/(\w+) as (\w+)/g, '$2: $1')}};`) : taken;
  const { code } = await transform(linked, { format: 'cjs', platform: 'node', target: 'node20', charset: 'ascii', legalComments: 'inline' });
  const called = code.replaceAll(/\bimport\("\.\/([\w-]+)\.js"\)/g, (_, chunk) => `Promise.resolve().then(() => load("${chunk}"))`).replaceAll(/\bimport\(/g, 'imported(');
  return { name, text: `(function (module, exports, require, imported, load, moduleUrl) { ${called}\n})` };
}

/** Comes before all others, which chunks are not sure to be in their modules' order of. */
const FIRST = 'navigator';

const { outputFiles } = await build({
  entryPoints: { ...programs, [FIRST]: join(SOURCE, 'snapshot', 'navigator.js') }, outdir: MADE, write: false,
  bundle: true, splitting: true, platform: 'node', format: 'esm', target: 'node20', charset: 'ascii', legalComments: 'inline', logLevel: 'warning',
  external: EXTERNAL, alias: { 'cron-parser': join(ROOT, 'bundle', 'no-schedules.cjs') }, plugins: [places],
});
rmSync(MADE, { recursive: true, force: true });
mkdirSync(MADE, { recursive: true });
const final = new Set(outputFiles.filter(isFinal).map(({ path }) => basename(path, '.js')));
for (const chunk of await Promise.all(outputFiles.map((file) => chunkOf(file, final)))) {
  writeFileSync(join(MADE, `${chunk.name}.js`), chunk.text, 'latin1');
}
compileChunks(MADE, FINAL);
cpSync(join(ROOT, 'bundle', 'load.cjs'), join(MADE, 'load.cjs'));
for (const name of Object.keys(programs)) writeFileSync(join(MADE, `${name}.cjs`), `#!/usr/bin/env node\nconst load = require('./load.cjs');\nload('${FIRST}');\nload('${name}');\n`, { mode: 0o755 });
rmSync(FINAL, { recursive: true, force: true });
renameSync(MADE, FINAL);

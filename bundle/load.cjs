/**
 * Loads the programs of the bundle. Their chunks are read by this instead of by `require`, for V8's own form of each lies beside it,
 * for the Node that made the bundle: parsing and compiling what an export needs takes a third of a second of processor time without it.
 * Another Node, or another machine's, does without; V8 itself refuses what does not fit its version or its flags.
 */
'use strict';
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const { Script } = require('node:vm');

/** Of what the compiled form is: bytecode of one version, for one kind of machine. */
const COMPILED = join(__dirname, `${process.version}-${process.platform}-${process.arch}`);

const modules = new Map();

/** What the chunk of that name exports; it is run when it is first asked for. */
function load(name) {
  const known = modules.get(name);
  if (known !== undefined) return known.exports;
  const module = { exports: undefined };
  modules.set(name, module);
  const filename = join(__dirname, `${name}.js`);
  // All are ASCII, so that each byte is a character.
  const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData: compiled(name) });
  script.runInThisContext()(module, {}, required, imported, load, moduleUrl);
  return module.exports;
}

function compiled(name) {
  try {
    return readFileSync(join(COMPILED, name));
  } catch {
    return undefined;
  }
}

/** A chunk beside this file, or a package or a part of Node. */
function required(id) {
  return id.startsWith('./') ? load(id.slice('./'.length, -'.js'.length)) : require(id);
}
required.resolve = require.resolve;

/** What a chunk imports from outside while it runs: a script has no `import()` of its own. */
function imported(specifier) {
  return import(specifier);
}

/** Where the module stands that became a part of a chunk: what it looks for beside itself is still there. @param path from dist/src/ */
function moduleUrl(path) {
  return pathToFileURL(join(__dirname, '..', 'src', path)).href;
}

module.exports = load;

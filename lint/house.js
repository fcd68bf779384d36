/**
 * Rules of the house: types hold; what a folder of src/ is for and may import stands in its README.md, each room of a folder has one of its own,
 * and no import leads back to where it came from, neither from file to file nor from folder to folder.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import typescript from 'typescript';

const { flattenDiagnosticMessageText } = typescript;

const SOURCE = join(import.meta.dirname, '..', 'src');
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'(\.{1,2}\/[^']+)\.js'/g;
const ALLOWED = /^May import: (.+)\.$/m;
/** Files as a page names them: its folder's, or from src/. */
const NAMED = /`([\w./-]+\.ts)`/g;

/** Folder of a file, from src/, such as `backup/seal`; empty for its root. */
function folderOf(file) {
  return relative(SOURCE, dirname(file));
}

const pages = new Map();

/** What is wrong with a folder's page, or what its files may import. */
function pageOf(folder) {
  if (!pages.has(folder)) pages.set(folder, readPage(join(SOURCE, folder, 'README.md')));
  return pages.get(folder);
}

function readPage(path) {
  if (!existsSync(path)) return { wrong: 'has no README.md, whose first paragraph says what it is for' };
  const page = readFileSync(path, 'utf8');
  const [title = '', first = ''] = page.split(/\n\s*\n/);
  if (!title.startsWith('# ') || first.length < 40 || ALLOWED.test(first)) return { wrong: 'has a README.md whose first paragraph does not say what it is for' };
  const allowed = ALLOWED.exec(page);
  if (allowed === null) return { wrong: 'has a README.md without a line `May import: …`' };
  const gone = [...page.matchAll(NAMED)].map(([, name]) => name).find((name) => !existsSync(join(dirname(path), name)) && !existsSync(join(SOURCE, name)));
  if (gone !== undefined) return { wrong: `has a README.md that names ${gone}, which is not there` };
  return { allowed: new Set(allowed[1] === 'nothing' ? [] : allowed[1].split(', ')) };
}

/** Whether what a folder may import may, in the end, import the folder. The root, which holds the ground floor and the front doors, is left out. */
function circleOf(folder) {
  if (folder === '') return undefined;
  const reached = new Set(pageOf(folder).allowed);
  for (const other of reached) {
    if (other === folder) return 'may import what may import it';
    if (other !== 'the root') for (const next of pageOf(other).allowed ?? []) reached.add(next);
  }
  return undefined;
}

/** Reports each import of a file of src/ to `report`, resolved. */
function onImports(context, report) {
  const check = (node) => {
    if (typeof node.source?.value === 'string' && node.source.value.startsWith('.')) report(node, join(dirname(context.filename), node.source.value.replace(/\.js$/, '.ts')));
  };
  return { ImportDeclaration: check, ImportExpression: check, ExportNamedDeclaration: check };
}

const folders = {
  meta: { type: 'problem', schema: [] },
  create(context) {
    const folder = folderOf(context.filename);
    const page = pageOf(folder);
    const wrong = page.wrong ?? circleOf(folder);
    if (wrong !== undefined) return { Program: (node) => context.report({ node, message: `src/${folder} ${wrong}.` }) };
    return onImports(context, (node, target) => {
      const other = folderOf(target);
      if (other === folder || (other === '' ? page.allowed.has('the root') : page.allowed.has(other))) return;
      context.report({ node, message: `src/${folder}/README.md does not allow to import ${other === '' ? 'the root of src' : other}.` });
    });
  },
};

let graph;

function importsOf(file) {
  graph ??= new Map(readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts')).map((path) => {
    const full = join(SOURCE, path);
    return [full, [...readFileSync(full, 'utf8').matchAll(IMPORT)].map(([, to]) => `${join(dirname(full), to)}.ts`)];
  }));
  return graph.get(file) ?? [];
}

/** The way from one file to another, if there is one. */
function wayTo(target, from) {
  const came = new Map([[from, undefined]]);
  for (const file of came.keys()) {
    if (file === target) {
      const way = [];
      for (let at = file; at !== undefined; at = came.get(at)) way.unshift(relative(SOURCE, at));
      return way;
    }
    for (const next of importsOf(file)) if (!came.has(next)) came.set(next, file);
  }
  return undefined;
}

const circles = {
  meta: { type: 'problem', schema: [] },
  create(context) {
    return onImports(context, (node, target) => {
      const way = wayTo(context.filename, target);
      if (way !== undefined) context.report({ node, message: `This import leads back here: ${way.join(' -> ')}.` });
    });
  },
};

/** What the compiler has to say of a file: lint has its program and has found out most of the types, which a compiler of its own would do again. */
const types = {
  meta: { type: 'problem', schema: [] },
  create(context) {
    const { program, esTreeNodeToTSNodeMap } = context.sourceCode.parserServices;
    return {
      Program(node) {
        const file = esTreeNodeToTSNodeMap.get(node);
        for (const { start = 0, code, messageText } of [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]) {
          context.report({ loc: context.sourceCode.getLocFromIndex(start), message: `TS${code}: ${flattenDiagnosticMessageText(messageText, ' ')}` });
        }
      },
    };
  },
};

export const house = { rules: { folders, circles, types } };

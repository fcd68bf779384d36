/** docs/errors.md: each code with what it says and what helps, as the source has them. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { ERROR_NOTES } from './error-notes.js';

interface Raised {
  readonly stage: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** @param source the directory src/ */
export function errorsPage(source: string): string {
  const codes = new Map<string, Raised[]>();
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts')).sort();
  for (const file of files) {
    const visit = (node: ts.Node): void => {
      if (ts.isNewExpression(node) && node.expression.getText() === 'RealmliftError') note(codes, node.arguments ?? [], undefined);
      else if (ts.isCallExpression(node) && /^(refuse|misfit)$/.test(node.expression.getText())) note(codes, node.arguments, file);
      else if (ts.isArrayLiteralExpression(node) && node.elements.length === 2) note(codes, node.elements, file);
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(file, readFileSync(join(source, file), 'utf8'), ts.ScriptTarget.ES2022, true));
  }
  const entries = [...codes].sort(([a], [b]) => (a < b ? -1 : 1));
  return `# Error codes

<!-- Made by \`npm run docs\` from the errors in src: change them there. -->

An error is one line on standard error: \`realmlift: CODE [stage, table]: what is wrong (what helps)\`. Where the same command can succeed once that is done, what helps ends in how to go on with what is left of it. It never holds a row's content or a secret. \`…\` stands for names and numbers
of the case at hand. Exit codes: 0 done; 1 failed; 2 wrong usage; 3 nothing exported; 4 finished, but with losses that \`--strict\` forbids; 130 and 143 stopped by ^C or SIGTERM.
See also [troubleshooting](troubleshooting.md).

${entries.map(([code, raised]) => section(code, unique(raised))).join('\n')}`;
}

function section(code: string, raised: readonly Raised[]): string {
  const known = ERROR_NOTES[code];
  const intro = known === undefined ? '' : `${escaped(known[0])} **What helps:** ${escaped(known[1])}.\n\n`;
  const said = raised.filter(({ message }) => /[a-z]/.test(message));
  return `## ${code}\n\n${intro}${said.map(({ stage, message, hint }) => `- [${stage}] ${message}${hint === undefined ? '' : `\n  **What helps:** ${hint}`}\n`).join('')}`;
}

const CODE = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/;

/** @param folder of what raises it through a function of its own; undefined where the stage is the second word */
function note(codes: Map<string, Raised[]>, given: readonly ts.Expression[], folder: string | undefined): void {
  const [code, second, third, fourth] = given;
  const [stage, message, detail] = folder === undefined ? [second, third, fourth] : [undefined, folder.startsWith('load/') ? third : second, folder.startsWith('load/') ? undefined : third];
  if (code === undefined || !ts.isStringLiteral(code) || !CODE.test(code.text) || message === undefined || (folder !== undefined && !code.text.includes('_'))) return;
  const property = (name: string): ts.Expression | undefined => detail !== undefined && ts.isObjectLiteralExpression(detail)
    ? detail.properties.find((each): each is ts.PropertyAssignment => ts.isPropertyAssignment(each) && each.name.getText() === name)?.initializer : undefined;
  const [left, hint] = [property('left'), folder === undefined ? property('hint') : detail];
  const raised = { stage: stage !== undefined && ts.isStringLiteral(stage) ? stage.text : folder?.split('/')[0] ?? 'any stage', message: words(message) + (left === undefined ? '' : `; ${words(left)}`), hint: hint === undefined ? undefined : words(hint) };
  codes.set(code.text, [...codes.get(code.text) ?? [], { ...raised, hint: raised.hint === '…' ? undefined : raised.hint }]);
}

/** The text of a literal, with … where something is put in. */
function words(node: ts.Expression): string {
  if (ts.isStringLiteralLike(node)) return escaped(node.text);
  if (ts.isTemplateExpression(node)) return escaped([node.head.text, ...node.templateSpans.map(({ literal }) => `…${literal.text}`)].join(''));
  if (ts.isConditionalExpression(node)) return [words(node.whenTrue), words(node.whenFalse)].filter((each) => each !== '…' && each !== '').join(' — or: ') || '…';
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) return words(node.left) + words(node.right);
  return '…';
}

function escaped(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/…+/g, '…').replaceAll('<', '&lt;').replaceAll('*', '\\*').replaceAll('_', '\\_');
}

function unique(raised: readonly Raised[]): Raised[] {
  return [...new Map(raised.map((each) => [JSON.stringify(each), each])).values()];
}

/** docs/errors.md: each code with what it says and what helps, as the source has them. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

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
      if (ts.isNewExpression(node) && node.expression.getText() === 'RealmliftError') note(codes, node);
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(file, readFileSync(join(source, file), 'utf8'), ts.ScriptTarget.ES2022, true));
  }
  const entries = [...codes].sort(([a], [b]) => (a < b ? -1 : 1));
  return `# Error codes

<!-- Made by \`npm run docs\` from the errors in src: change them there. -->

An error is one line on standard error: \`realmlift: CODE [stage, table]: what is wrong (what helps)\`. It never holds a row's content or a secret. \`…\` stands for names and numbers
of the case at hand. Exit codes: 0 done; 1 failed; 2 wrong usage; 3 nothing exported; 4 finished, but with losses that \`--strict\` forbids; 130 and 143 stopped by ^C or SIGTERM.
See also [troubleshooting](troubleshooting.md).

${entries.map(([code, raised]) => `## ${code}\n\n${unique(raised).map(({ stage, message, hint }) => `- [${stage}] ${message}${hint === undefined ? '' : `\n  **What helps:** ${hint}`}`).join('\n')}\n`).join('\n')}`;
}

function note(codes: Map<string, Raised[]>, { arguments: given }: ts.NewExpression): void {
  const [code, stage, message, detail] = given ?? [];
  if (code === undefined || !ts.isStringLiteral(code) || message === undefined) return;
  const hint = detail !== undefined && ts.isObjectLiteralExpression(detail)
    ? detail.properties.find((each): each is ts.PropertyAssignment => ts.isPropertyAssignment(each) && each.name.getText() === 'hint')?.initializer : undefined;
  const raised = { stage: stage !== undefined && ts.isStringLiteral(stage) ? stage.text : 'any stage', message: words(message), hint: hint === undefined ? undefined : words(hint) };
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
  const told = [...new Map(raised.map((each) => [JSON.stringify(each), each])).values()];
  const known = told.filter(({ message }) => message !== '…');
  return known.length === 0 ? told.map((each) => ({ ...each, message: 'what it says depends on the case' })) : known;
}

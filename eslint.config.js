import tseslint from 'typescript-eslint';
import { house } from './lint/house.js';

const STYLE = [
  { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
  { selector: 'ExportAllDeclaration', message: 'No barrels: import from the file that defines it.' },
  { selector: "[accessibility='private']:not([kind='constructor'])", message: 'Use #private.' },
];
const NO_PIPES = { selector: "CallExpression[callee.property.name='pipe']", message: 'Streams are joined by pipeline(), which passes errors on and closes all of them.' };
const NO_SKIPPED_TESTS = { selector: "CallExpression[callee.object.name='t'][callee.property.name=/^(skip|todo|only)$/]", message: 'A skipped test proves nothing.' };
const NO_GRAB_BAGS = { regex: '^\\.+/(.*/)?(utils?|helpers?|common|misc|lib)(\\.js$|/)', message: 'Name the file after its concept.' };

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.tap/', 'out/', '**/*.js', '**/*.cjs'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { project: 'tsconfig.json' } },
    plugins: { house },
    rules: {
      'house/types': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      eqeqeq: 'error',
      'max-lines': ['warn', 350],
      'no-console': 'error',
      'no-restricted-imports': ['error', { patterns: [NO_GRAB_BAGS] }],
      'no-restricted-syntax': ['error', ...STYLE],
      'no-warning-comments': 'error',
    },
  },
  { files: ['src/**'], rules: { 'no-restricted-syntax': ['error', ...STYLE, NO_PIPES], 'house/folders': 'error', 'house/circles': 'error' } },
  {
    files: ['test/**', 'bench/**', 'sample/**'],
    rules: { 'no-console': 'off', '@typescript-eslint/no-floating-promises': 'off', 'no-restricted-syntax': ['error', ...STYLE, NO_SKIPPED_TESTS] },
  },
  // Another language of the same form, whose types asc checks.
  { files: ['assembly/**'], languageOptions: { parserOptions: { project: null } }, rules: { ...tseslint.configs.disableTypeChecked.rules, 'house/types': 'off' } },
  // Types of packages that are written otherwise.
  { files: ['**/*.d.ts'], rules: { 'no-restricted-syntax': 'off' } },
);

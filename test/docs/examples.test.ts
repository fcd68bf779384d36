// The files below examples/ are what Compose and Kubernetes take, and call commands that there are.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { realmliftCommand } from '../../src/cli/commands.js';
import { packageRoot } from '../../src/plan/views/registry.js';

/** By a name that is not resolved before it is needed: the other tests compile and run where these packages are not installed. */
async function loaded<T>(name: string): Promise<T> {
  return await import(name) as T;
}

interface Manifest {
  readonly kind: 'Job' | 'PersistentVolumeClaim' | 'Secret';
  readonly metadata?: { readonly name?: string };
  readonly spec?: { readonly parallelism?: number; readonly template?: { readonly spec?: { readonly containers?: readonly { readonly args?: readonly string[] }[] } } };
}

/** A model of Kubernetes' API, whose validate() throws. */
type Model = new (manifest: object) => { validate(): void };

interface Yaml {
  parse(text: string, options: { merge: boolean }): unknown;
  parseAllDocuments(text: string): readonly { toJS(): unknown }[];
}

interface Validator {
  (value: unknown): boolean;
  readonly errors?: unknown;
}

const yaml = await loaded<Yaml>('yaml');
const { Ajv } = await loaded<{ Ajv: new (options: object) => { compile(schema: object): Validator } }>('ajv');
const kinds = { ...await loaded<Record<'Job', Model>>('kubernetes-models/batch/v1'), ...await loaded<Record<'PersistentVolumeClaim' | 'Secret', Model>>('kubernetes-models/v1') };

const examples = join(packageRoot(), 'examples', 'several-machines');
const read = (name: string): string => readFileSync(join(examples, name), 'utf8');

async function isCommand(t: Test, [name = '', ...words]: readonly string[]): Promise<void> {
  const options = (await realmliftCommand(name)).commands.find((command) => command.name() === name)?.options ?? [];
  for (const word of words) if (word.startsWith('--')) t.ok(options.some(({ long }) => long === word), `${name} has ${word}`);
}

t.test('the compose file', async (t) => {
  const schema = JSON.parse(readFileSync(join(packageRoot(), 'test', 'data', 'schemas', 'compose-spec.json'), 'utf8')) as object;
  const valid = new Ajv({ strict: false, validateFormats: false }).compile({ ...schema, $schema: 'http://json-schema.org/draft-07/schema#' });
  const file = yaml.parse(read('compose.yaml'), { merge: true }) as { services: Record<string, { image?: string; command?: readonly string[] }> };
  t.ok(valid(file), JSON.stringify(valid.errors));
  t.notOk(valid({ ...file, services: { ...file.services, worker: { ...file.services.worker, comand: [] } } }), 'and a word that is wrong would be found');
  for (const { image, command } of Object.values(file.services)) if (image === 'realmlift' && command !== undefined) await isCommand(t, command);
});

t.test('the Kubernetes manifests', async (t) => {
  const manifests = yaml.parseAllDocuments(read('kubernetes.yaml')).map((each) => each.toJS() as Manifest);
  t.same(manifests.map(({ kind }) => kind).sort(), ['Job', 'Job', 'PersistentVolumeClaim', 'Secret']);
  for (const manifest of manifests) t.doesNotThrow(() => new kinds[manifest.kind](manifest).validate(), manifest.metadata?.name ?? manifest.kind);
  const jobs = manifests.filter(({ kind }) => kind === 'Job');
  t.throws(() => new kinds.Job({ ...jobs[0], spec: { ...jobs[0]?.spec, parallelism: 'six' } }).validate(), 'and what is wrong would be found');
  t.ok(jobs.some(({ spec }) => (spec?.parallelism ?? 1) > 1), 'the number of workers is the parallelism of a Job');
  for (const { spec } of jobs) for (const { args = [] } of spec?.template?.spec?.containers ?? []) await isCommand(t, args);
});

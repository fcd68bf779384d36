// The files below examples/ are what Compose and Kubernetes take, and call commands that there are.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { realmliftCommand } from '../../src/cli/commands.js';
import { packageRoot } from '../../src/package-root.js';
import { realmlift } from '../cli/command-line.js';
import { withS3 } from '../testbed/s3-server.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';

t.setTimeout(120_000);

/** By a name that is not resolved before it is needed: the other tests compile and run where these packages are not installed. */
async function loaded<T>(name: string): Promise<T> {
  return await import(name) as T;
}

interface Manifest {
  readonly kind: 'Job' | 'PersistentVolumeClaim' | 'Secret';
  readonly metadata?: { readonly name?: string };
  readonly stringData?: Readonly<Record<string, string>>;
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
  t.notMatch(words.join(' '), /postgresql:|\$\(/, 'no password where all can read the list of processes');
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

/** What `docker compose` makes of a value: a setting that it demands, or may be empty. */
function interpolated(text: string, settings: Readonly<Record<string, string>>): string {
  return text.replace(/\$\{(\w+):([?-])\}/g, (_, name: string, demands: string) => {
    const value = settings[name];
    if (value === undefined && demands === '?') throw new Error(`nobody is told to set ${name}`);
    return value ?? '';
  });
}

t.test('their commands run as they are written, by the settings that they name and no others', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/s3', (url) => withS3((s3) => withEmptyDatabase(async (queue) => {
    const known: Record<string, string> = { ...s3.environment, DATABASE_URL: url, QUEUE_URL: queue, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/s3'] };
    const together = async (name: string, worker: readonly string[], run: readonly string[], environments: readonly Readonly<Record<string, string>>[]): Promise<void> => {
      const output = join(root, name);
      const there = (words: readonly string[]): string[] => words.map((word) => (word === '/exports' ? output : word));
      const [worked, exported] = await Promise.all([worker, run].map((words, index) => realmlift(there(words), { env: environments[index] ?? {} })));
      t.match(exported, { code: 0 }, exported?.stderr ?? '');
      t.match(worked, { code: 0, stderr: /takes part in the run/ });
      t.ok(existsSync(join(output, 'acme', 'manifest.json')), `${name}: the export is there`);
    };

    const file = yaml.parse(read('compose.yaml'), { merge: true }) as { services: Record<'worker' | 'export', { command: readonly string[]; environment: Readonly<Record<string, string>> }> };
    // Those that its head tells of.
    const settings = { ...s3.environment, SOURCE_URL: url, REALM: 'acme', ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/s3'] };
    const here = (text: string): string => (text === 'postgresql://queue:queue@queue/queue' ? queue : interpolated(text, settings));
    const { worker, export: run } = file.services;
    await together('compose', worker.command.map(here), run.command.map(here), [worker, run].map(({ environment }) => Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, here(value)]))));

    const manifests = yaml.parseAllDocuments(read('kubernetes.yaml')).map((each) => each.toJS() as Manifest);
    const names = Object.keys(manifests.find(({ kind }) => kind === 'Secret')?.stringData ?? {});
    t.same(names.filter((name) => known[name] === undefined), [], 'no setting that there is not');
    // AWS is where nothing else is said.
    const environment = Object.fromEntries([...names, 'S3_ENDPOINT'].map((name) => [name, known[name] ?? '']));
    const words = (job: string): string[] => [...manifests.find(({ metadata }) => metadata?.name === job)?.spec?.template?.spec?.containers?.[0]?.args ?? []].map((word) => word.replace(/\$\((\w+)\)/, (_, name: string) => environment[name] ?? ''));
    await together('kubernetes', words('realmlift-workers'), words('realmlift-export'), [environment, environment]);
  })));
});

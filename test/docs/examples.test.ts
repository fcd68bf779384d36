// The files below examples/ are what Compose and Kubernetes take, and call commands that there are.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { Job } from 'kubernetes-models/batch/v1';
import { PersistentVolumeClaim, Secret } from 'kubernetes-models/v1';
import t, { type Test } from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import { realmliftCommand } from '../../src/cli/commands.js';
import { packageRoot } from '../../src/plan/registry.js';

const examples = join(packageRoot(), 'examples', 'several-machines');
const read = (name: string): string => readFileSync(join(examples, name), 'utf8');

async function isCommand(t: Test, [name = '', ...words]: readonly string[]): Promise<void> {
  const options = (await realmliftCommand(name)).commands.find((command) => command.name() === name)?.options ?? [];
  for (const word of words) if (word.startsWith('--')) t.ok(options.some(({ long }) => long === word), `${name} has ${word}`);
}

t.test('the compose file', async (t) => {
  const schema = JSON.parse(readFileSync(join(packageRoot(), 'test', 'data', 'schemas', 'compose-spec.json'), 'utf8')) as object;
  const valid = new Ajv({ strict: false, validateFormats: false }).compile({ ...schema, $schema: 'http://json-schema.org/draft-07/schema#' });
  const file = parse(read('compose.yaml'), { merge: true }) as { services: Record<string, { image?: string; command?: readonly string[] }> };
  t.ok(valid(file), JSON.stringify(valid.errors));
  t.notOk(valid({ ...file, services: { ...file.services, worker: { ...file.services.worker, comand: [] } } }), 'and a word that is wrong would be found');
  for (const { image, command } of Object.values(file.services)) if (image === 'realmlift' && command !== undefined) await isCommand(t, command);
});

t.test('the Kubernetes manifests', async (t) => {
  const kinds = { Job, PersistentVolumeClaim, Secret };
  const manifests = parseAllDocuments(read('kubernetes.yaml')).map((each) => each.toJS() as ConstructorParameters<typeof Job>[0] & { kind: keyof typeof kinds });
  t.same(manifests.map(({ kind }) => kind).sort(), ['Job', 'Job', 'PersistentVolumeClaim', 'Secret']);
  for (const manifest of manifests) t.doesNotThrow(() => new kinds[manifest.kind](manifest).validate(), manifest.metadata?.name ?? manifest.kind);
  const jobs = manifests.filter(({ kind }) => kind === 'Job');
  t.throws(() => new Job({ ...jobs[0], spec: { ...jobs[0]?.spec, parallelism: 'six' } } as never).validate(), 'and what is wrong would be found');
  t.ok(jobs.some(({ spec }) => (spec?.parallelism ?? 1) > 1), 'the number of workers is the parallelism of a Job');
  for (const { spec } of jobs) for (const { args = [] } of spec?.template.spec?.containers ?? []) await isCommand(t, args);
});

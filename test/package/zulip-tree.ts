/**
 * A Zulip source tree for tests: version.py and migration files that stand in the graph where the real ones stand, made from the names
 * that a database records and the lines that its server printed of them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AppliedMigration } from '../../src/plan/release/applied-migrations.js';

type Lines = Readonly<Record<string, readonly string[]>>;

/** Where an app's code lies, in the tree or in its virtualenv. */
const PLACES: Readonly<Record<string, string>> = {
  auth: 'django/contrib/auth', contenttypes: 'django/contrib/contenttypes', sessions: 'django/contrib/sessions', social_django: 'social_django',
  otp_static: 'django_otp/plugins/otp_static', otp_totp: 'django_otp/plugins/otp_totp', two_factor: 'two_factor', phonenumber: 'two_factor/plugins/phonenumber',
};

/** Migrations that Zulip back-ported to 9.x: what they depend on, and the merge that ties them in again. */
const BACKPORTS: Readonly<Record<string, string>> = {
  '0576_backfill_imageattachment': '0558_realmuserdefault_web_animate_image_previews_and_more',
  '0622_backfill_imageattachment_again': '0576_backfill_imageattachment',
  '0639_zh_hant_tw_rename': '0622_backfill_imageattachment_again',
};
const MERGES: Readonly<Record<string, string>> = {
  '0577_merge_20240829_0153': '0576_backfill_imageattachment', '0623_merge_20241030_1835': '0622_backfill_imageattachment_again', '0640_merge_20241211_1953': '0639_zh_hant_tw_rename',
};

/**
 * Writes the tree of a server that printed `lines` of a database with the migrations `applied`.
 *
 * @param virtualenv directory of the virtualenv inside the tree; undefined to leave the libraries out
 */
export function writeZulipTree(directory: string, version: string, lines: Lines, applied: readonly AppliedMigration[], virtualenv: string | undefined): void {
  write(join(directory, 'version.py'), `import os\n\nZULIP_VERSION = "${version}"\nLATEST_MAJOR_VERSION = "10.0"\n`);
  for (const [app, printed] of Object.entries(lines)) {
    const place = PLACES[app];
    if (place !== undefined && virtualenv === undefined) continue;
    const root = place === undefined ? join(directory, app) : join(directory, virtualenv ?? '', 'lib/python3.12/site-packages', place);
    write(join(root, 'migrations', '__init__.py'), '');
    for (const [name, body] of migrationsOf(app, printed, applied)) write(join(root, 'migrations', `${name}.py`), body);
  }
}

/** Adds one more migration to an app of the tree. */
export function writeMigration(directory: string, app: string, name: string, after: string): void {
  write(join(directory, app, 'migrations', `${name}.py`), migration([[app, after]], []));
}

type Pair = readonly [app: string, name: string];

function* migrationsOf(app: string, printed: readonly string[], applied: readonly AppliedMigration[]): Generator<[name: string, body: string]> {
  const names = printed.map((line) => /^\[.\] (\S+)/.exec(line)?.[1]).filter((name) => name !== undefined).sort();
  if (app === 'two_factor') {
    // Its files are there, but phonenumber's squashed migration replaces every one.
    for (const { name } of applied.filter((each) => each.app === app)) {
      const inner = applied.filter((each) => each.app === app && !each.name.includes('squashed')).map((each): Pair => [app, each.name]);
      yield [name, name.includes('squashed') ? migration([], inner) : migration([], [])];
    }
  }
  let previous: string | undefined;
  for (const name of names) {
    const replaces = replacedBy(app, name, printed, applied);
    const parent = BACKPORTS[name] ?? previous;
    const dependencies = [parent, MERGES[name]].filter((each) => each !== undefined).map((each): Pair => [app, each]);
    yield [name, migration(dependencies, replaces)];
    if (!(name in BACKPORTS)) previous = name.includes('_squashed_') ? (replaces.filter(([of]) => of === app).at(-1)?.[1] ?? name) : name;
  }
}

function replacedBy(app: string, name: string, printed: readonly string[], applied: readonly AppliedMigration[]): Pair[] {
  const count = Number(printed.map((line) => /^\[.\] (\S+) \((\d+) squashed/.exec(line)).find((match) => match?.[1] === name)?.[2] ?? 0);
  if (count === 0) return [];
  const listed = new Set(printed.map((line) => line.slice(4).split(' ')[0]));
  const from = app === 'social_django' ? ['default', 'social_auth'].slice(-count) : app === 'phonenumber' ? ['phonenumber', 'two_factor'] : [app];
  return applied.filter((each) => from.includes(each.app) && (app === 'social_django' ? each.name === name : !listed.has(each.name))).map((each): Pair => [each.app, each.name]);
}

/** In the style of the real files: annotations, comments, both kinds of quotes and what else a reader may stumble over. */
function migration(dependencies: readonly Pair[], replaces: readonly Pair[]): string {
  const list = (pairs: readonly Pair[]): string => pairs.map(([app, name]) => `        ("${app}", '${name}'),  # ("never", "this")\n`).join('');
  return `from django.conf import settings
from django.db import migrations

dependencies = [("zerver", "of no class")]


class Other:
    dependencies = [("zerver", "of another class")]


class Migration(migrations.Migration):
    """It has
    dependencies = [("zerver", "of the documentation")]
    """

    atomic = False
${replaces.length === 0 ? '' : `    replaces: list[tuple[str, str]] = [\n${list(replaces)}    ]\n\n`}    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
${list(dependencies)}    ]

    operations = [
        migrations.RunSQL("""
    replaces = [("zerver", "of some SQL")]
""", state_operations=[dict(dependencies=[("a", "b")])]),
    ]
`;
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

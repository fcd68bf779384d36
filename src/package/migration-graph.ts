/**
 * The lines that Django's `showmigrations --list` prints for an app, from the migration files and what the database records.
 *
 * This follows django/db/migrations/loader.py (build_graph) and graph.py: every file is a node; a squashed migration takes the
 * place of those it replaces when all or none of them are applied, else it is dropped; then each app's leaves are walked
 * backwards. A line's text matters to the import, the order of the lines does not; it is Django's here all the same.
 */
import type { AppliedMigration } from '../plan/release/applied-migrations.js';
import type { MigrationKey } from '../plan/release/python-migration.js';
import type { MigrationTree } from '../plan/release/zulip-server-files.js';

/** What stands in the place of an app's list when it has no migration left. */
export const NO_MIGRATIONS = '(no migrations)';

interface Node {
  readonly app: string;
  readonly name: string;
  readonly replaces: readonly string[];
  /** False of a migration that is only named: by a dependency, until a squashed migration takes its place. */
  readonly onDisk: boolean;
  readonly parents: Set<string>;
  readonly children: Set<string>;
}

/**
 * @returns app label -> lines such as `[X] 0001_initial`, `[ ] 0002_more`, `[X] 0001_squashed_0569 (545 squashed migrations)`;
 *   `[-]` marks a squashed migration all of whose replaced ones are applied while it is not itself recorded
 * @throws Error when a migration depends on one that neither exists nor is replaced
 */
export function migrationLines(tree: MigrationTree, applied: readonly AppliedMigration[]): Record<string, string[]> {
  const recorded = new Set(applied.map(({ app, name }) => keyOf(app, name)));
  const graph = new Map<string, Node>();
  for (const [app, migrations] of tree) {
    for (const [name, lists] of migrations) {
      graph.set(keyOf(app, name), { app, name, replaces: lists.replaces.map(asKey), onDisk: true, parents: new Set(), children: new Set() });
    }
  }
  connect(graph, tree);
  const effective = replaceSquashed(graph, recorded);
  for (const { app, name, onDisk } of graph.values()) {
    if (!onDisk && tree.has(app)) throw new Error(`a migration depends on ${app} ${name}, which does not exist`);
  }

  const lines: Record<string, string[]> = {};
  for (const app of [...tree.keys()].sort()) {
    const shown = [...new Set(leaves(graph, app).flatMap((leaf) => forwardsPlan(graph, leaf)))].filter((node) => node.app === app);
    lines[app] = shown.length === 0 ? [NO_MIGRATIONS] : shown.map((node) => {
      const key = keyOf(node.app, node.name);
      const mark = !effective.has(key) ? ' ' : recorded.has(key) ? 'X' : '-';
      return `[${mark}] ${node.name}${node.replaces.length === 0 ? '' : ` (${node.replaces.length} squashed migrations)`}`;
    });
  }
  return lines;
}

/** A key that sorts as Python sorts the pair: no app label holds a character below the separator. */
function keyOf(app: string, name: string): string {
  return `${app}\u0000${name}`;
}

function asKey([app, name]: MigrationKey): string {
  return keyOf(app, name);
}

/** Adds the edges. */
function connect(graph: Map<string, Node>, tree: MigrationTree): void {
  // Edges inside an app come first: they decide which migration `__first__` of another app is.
  for (const inside of [true, false]) {
    const edges: [parent: string, child: string][] = [];
    for (const [app, migrations] of tree) {
      for (const [name, { dependencies, runBefore }] of migrations) {
        for (const parent of dependencies) {
          if ((parent[0] === app) === inside) edges.push([resolve(graph, parent, app), keyOf(app, name)]);
        }
        for (const child of runBefore) if (!inside) edges.push([keyOf(app, name), resolve(graph, child, app)]);
      }
    }
    for (const [parent, child] of edges) link(graph, parent, child);
  }
}

/** The key of a dependency; empty for `__first__` or `__latest__` of the same app or of one without migrations: no edge. */
function resolve(graph: ReadonlyMap<string, Node>, [app, name]: MigrationKey, from: string): string {
  if (name !== '__first__' && name !== '__latest__') return keyOf(app, name);
  if (app === from) return '';
  const candidates = [...graph.values()].filter((node) => node.app === app && !connectedInApp(graph, node, name === '__first__' ? node.parents : node.children));
  return candidates.map((node) => keyOf(node.app, node.name)).sort()[0] ?? '';
}

function connectedInApp(graph: ReadonlyMap<string, Node>, node: Node, neighbours: ReadonlySet<string>): boolean {
  return [...neighbours].some((key) => graph.get(key)?.app === node.app);
}

function link(graph: Map<string, Node>, parent: string, child: string): void {
  if (parent === '' || child === '' || parent === child) return;
  nodeOf(graph, parent).children.add(child);
  nodeOf(graph, child).parents.add(parent);
}

function nodeOf(graph: Map<string, Node>, key: string): Node {
  const known = graph.get(key);
  if (known !== undefined) return known;
  const [app, name] = key.split('\u0000') as [string, string];
  const named: Node = { app, name, replaces: [], onDisk: false, parents: new Set(), children: new Set() };
  graph.set(key, named);
  return named;
}

/** Carries out the replacements and returns what then counts as applied. */
function replaceSquashed(graph: Map<string, Node>, recorded: ReadonlySet<string>): Set<string> {
  const effective = new Set(recorded);
  const squashed = new Map([...graph].filter(([, node]) => node.replaces.length > 0));
  const done = new Set<string>();
  const replace = (key: string, node: Node): void => {
    if (done.has(key)) return;
    done.add(key);
    // A squashed migration may replace squashed ones: those are settled first.
    for (const inner of node.replaces) {
      const replaced = squashed.get(inner);
      if (replaced !== undefined) replace(inner, replaced);
    }
    const states = node.replaces.map((each) => effective.has(each));
    const all = states.every(Boolean);
    if (all) effective.add(key);
    else effective.delete(key);
    if (all || !states.some(Boolean)) removeReplaced(graph, key, node);
    else removeReplacement(graph, key, node);
  };
  for (const [key, node] of squashed) replace(key, node);
  return effective;
}

/** The squashed migration takes the place of those it replaces, with their neighbours. */
function removeReplaced(graph: Map<string, Node>, key: string, node: Node): void {
  const replaced = new Set(node.replaces);
  for (const each of replaced) {
    const old = graph.get(each);
    if (old === undefined || each === key) continue;
    graph.delete(each);
    for (const child of old.children) {
      graph.get(child)?.parents.delete(each);
      if (!replaced.has(child)) link(graph, key, child);
    }
    for (const parent of old.parents) {
      graph.get(parent)?.children.delete(each);
      if (!replaced.has(parent)) link(graph, parent, key);
    }
  }
}

/** A partly applied squashed migration is dropped; what depended on it now depends on the last of those it would replace. */
function removeReplacement(graph: Map<string, Node>, key: string, node: Node): void {
  graph.delete(key);
  const replaced = node.replaces.filter((each) => graph.has(each));
  const inner = new Set(replaced.flatMap((each) => [...(graph.get(each)?.parents ?? [])]));
  for (const child of node.children) {
    graph.get(child)?.parents.delete(key);
    for (const last of replaced.filter((each) => !inner.has(each))) link(graph, last, child);
  }
  for (const parent of node.parents) graph.get(parent)?.children.delete(key);
}

function leaves(graph: ReadonlyMap<string, Node>, app: string): string[] {
  return [...graph].filter(([, node]) => node.app === app && !connectedInApp(graph, node, node.children)).map(([key]) => key).sort();
}

/** All that must be applied before `start`, in the order of Django's iterative depth-first search, ending with it. */
function forwardsPlan(graph: ReadonlyMap<string, Node>, start: string): Node[] {
  const plan = new Map<string, Node>();
  const stack: [key: string, processed: boolean][] = [[start, false]];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const [key, processed] = top;
    const node = graph.get(key);
    if (node === undefined || plan.has(key)) continue;
    if (processed) plan.set(key, node);
    else stack.push([key, true], ...[...node.parents].sort().map((parent): [string, boolean] => [parent, false]));
  }
  return [...plan.values()];
}

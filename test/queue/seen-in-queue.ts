/** All that ever comes into a queue, since a job goes when it is done. */
import { query } from '../export/grown-database.js';

/** Begins to look, once its tables are there. @returns gives it as text, and how many pieces it was */
export async function watchQueue(queue: string): Promise<() => Promise<{ readonly text: string; readonly count: number }>> {
  // All of ours, and of pg-boss all but the partitions of a table, whose rows are that table's.
  const { rows: all } = await query(queue, "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace IN ('realmlift_jobs'::regnamespace, 'realmlift_queue'::regnamespace)");
  const tables = all.map(({ name }) => name as string);
  if (!['realmlift_jobs.job', 'realmlift_queue.run', 'realmlift_queue.worker'].every((name) => tables.includes(name))) throw new Error(`the tables of the queue are ${tables.join(', ')}`);
  await query(queue, `
    CREATE TABLE public.seen (text text);
    CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (NEW::text); RETURN NEW; END $$;
    ${tables.map((table) => `CREATE TRIGGER see AFTER INSERT OR UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION public.see()`).join(';')}`);
  return async () => {
    const { rows } = await query(queue, 'SELECT text FROM public.seen');
    await query(queue, 'DROP FUNCTION public.see() CASCADE; DROP TABLE public.seen');
    return { text: rows.map(({ text }) => text as string).join('\n'), count: rows.length };
  };
}

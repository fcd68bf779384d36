/** All that ever comes into a queue, since a job goes when it is done. */
import { query } from '../export/grown-database.js';

/** Begins to look, once its tables are there. @returns gives it as text, and how many pieces it was */
export async function watchQueue(queue: string): Promise<() => Promise<{ readonly text: string; readonly count: number }>> {
  const tables = ['realmlift_jobs.job', 'realmlift_queue.run', 'realmlift_queue.worker'];
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

/** Which uploads a split takes. */
import type pg from 'pg';
import { holdsAllUploads, uploadsQuery } from '../export/wanted/wanted-rows.js';
import type { ExportPlan } from '../plan/plan-export.js';
import type { Source } from '../plan/source.js';

/** Until Zulip 4 an export holds all uploads of the realm in every mode, whatever their rows do; a split does where everybody's data travel, with their rows. */
export function takesAllUploads({ request }: ExportPlan, source: Source): boolean {
  return holdsAllUploads(source) && request.mode === 'full';
}

/** Attachments whose file does not travel because of its owner, and whose rows stay with it, as an export has it. @param owners whose files may travel; undefined for all */
export async function refusedAttachments(client: pg.Client, source: Source, plan: ExportPlan, owners: ReadonlySet<number> | undefined): Promise<string[]> {
  const { request: { realm }, parameters: { cross_realm_bot_ids: bots } } = plan;
  const { rows } = await client.query<{ id: string }>(`
    SELECT w.id::text AS id FROM (${uploadsQuery(plan, source, takesAllUploads(plan, source))}) AS w LEFT JOIN zerver_userprofile u ON u.id = w.owner_id AND (u.realm_id = ${realm.id} OR u.id = ANY ($1::bigint[]))
    WHERE u.id IS NULL OR ($2::bigint[] IS NOT NULL AND u.id <> ALL ($2::bigint[]))`, [bots, owners === undefined ? null : [...owners]]);
  return rows.map(({ id }) => id);
}

/** Where an export tells whose private data it holds: ids of the users who consented, in one list. */

/** Of Zulip's own exports up to 11. */
export const ZULIP_CONSENT = 'consented_user_ids.json';

/** Zulip 12 writes no such list, and its import asks for none; verify, merge and remap need it all the same. */
export const OUR_CONSENT = 'consent.json';

export const CONSENT_FILES = [ZULIP_CONSENT, OUR_CONSENT] as const;

/** What a part holds is not what was put into it. */
export class PartDamage extends Error {}

/** The tags of the field that is the lease, by message. Puts and leaders are in `key-fields.ts`. */
export const LeaseTag = {
  /** `LeaseGrantRequest`. */
  grant: 0x10,
  /** Any other request about one lease. */
  ofLease: 0x08,
  /** A reply about one lease. */
  reply: 0x10,
  /** `LockRequest` and `CampaignRequest`. */
  session: 0x10,
} as const;

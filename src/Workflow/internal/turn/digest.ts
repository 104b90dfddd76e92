/**
 * A 64-bit fingerprint of encoded user data, 16 hex digits: two 32-bit FNV-1a lanes (Fowler, Noll, Vo; the IETF draft
 * draft-eastlake-fnv), the second over a rotated input so that the lanes are independent. It tells changed data from
 * unchanged data; it is no defence against somebody who looks for collisions.
 */
export const digest = (text: string | null): string => {
  if (text === null) return ""
  let low = 0x811c9dc5
  let high = 0x050c5d1f
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    low = Math.imul(low ^ unit, 0x01000193)
    high = Math.imul(high ^ ((unit << 5) + i), 0x01000193)
  }
  return hex(high ^ (low >>> 15)) + hex(low ^ (high >>> 13))
}

const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, "0")

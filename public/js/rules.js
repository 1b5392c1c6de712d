/**
 * The rules for what users type, as hints while they type. The server is the judge: nothing is
 * held back because of these.
 */

/**
 * @typedef {object} Rule
 * @property {string} text what is asked for
 * @property {(value: string) => boolean} holds
 */

/** @type {Record<string, Rule[]>} by the name of the field */
export const RULES = {
  name: [{ text: 'up to 100 characters', holds: (v) => v.trim() !== '' && [...v].length <= 100 }],
  username: [
    { text: '3 to 32 characters', holds: (v) => v.length >= 3 && v.length <= 32 },
    { text: 'letters, digits, _ and - only', holds: (v) => /^[A-Za-z0-9_-]+$/.test(v) },
    { text: 'not starting with a digit', holds: (v) => /^[^0-9]/.test(v) },
  ],
  email: [
    {
      text: 'an address like name@example.org',
      holds: (v) => v.length >= 5 && v.length <= 255 && /^[^@\s]+@[^@\s]+\.[^@\s.]+$/.test(v),
    },
  ],
  password: [
    { text: '8 to 128 characters', holds: (v) => [...v].length >= 8 && [...v].length <= 128 },
    { text: 'an upper-case letter', holds: (v) => /[A-Z]/.test(v) },
    { text: 'a lower-case letter', holds: (v) => /[a-z]/.test(v) },
    { text: 'a digit', holds: (v) => /[0-9]/.test(v) },
    { text: 'one of !@#$%^&*()-_=+', holds: (v) => /[!@#$%^&*()\-_=+]/.test(v) },
  ],
};

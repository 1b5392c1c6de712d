/** The registration page. */

import { register } from './api.js';
import { byId } from './dom.js';
import { bindForm, bindHints, bindReveal, showHandover } from './forms.js';
import { handOver } from './session.js';

const form = byId('register-form');
for (const name of ['username', 'email', 'password']) bindHints(form.elements.namedItem(name));
bindReveal(form.elements.namedItem('password'), byId('password-reveal'));
showHandover();

bindForm(form, async ({ name, username, email, password }) => {
  await register({ name, username, email, password });
  handOver({ message: 'Your account is ready. Sign in to start.', kind: 'info', username });
  return '/login';
});

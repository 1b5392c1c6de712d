/** The login page. */

import { login } from './api.js';
import { byId } from './dom.js';
import { bindForm, bindReveal, showHandover } from './forms.js';
import { returnPage, signIn } from './session.js';

const form = byId('login-form');
const { username: known } = showHandover();
if (known) {
  form.elements.namedItem('username').value = known;
  form.elements.namedItem('password').focus();
} else {
  form.elements.namedItem('username').focus();
}
bindReveal(form.elements.namedItem('password'), byId('password-reveal'));

bindForm(form, async ({ username, password }) => {
  signIn(await login({ username, password }));
  return returnPage(location.search);
});

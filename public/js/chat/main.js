/** Starts the chat page for the user who is signed in. */

import { claims, requireToken } from '../session.js';
import { ChatPage } from './page.js';

const username = claims(requireToken())?.username;
if (username !== undefined) new ChatPage(username).start();

/** Starts the chat page for the user who is signed in. */

import { requireToken } from '../session.js';
import { ChatPage } from './page.js';

if (requireToken() !== null) new ChatPage().start();

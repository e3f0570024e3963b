// The operator's screens: each module takes care of one thing and listens on the document, so that parts swapped
// in by htmx work without further ado.
import { start as startDialogs } from './js/dialogs.js';
import { start as startFilters } from './js/filters.js';
import { start as startForms } from './js/forms.js';
import { start as startInline } from './js/inline.js';
import { start as startKeyboard } from './js/keyboard.js';
import { start as startLists } from './js/lists.js';
import { start as startRequests } from './js/requests.js';
import { start as startTheme } from './js/theme-toggle.js';
import { enhance } from './js/inputs.js';

startRequests();
startTheme();
startDialogs();
startLists();
startFilters();
startForms();
startInline();
startKeyboard();
enhance(document);
document.documentElement.dataset.ready = 'yes';

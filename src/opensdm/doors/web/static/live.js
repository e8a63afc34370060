// Padlocks and toasts of an open page, kept true by server-sent events.

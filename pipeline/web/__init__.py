"""What a customer's browser is given: `rapport.js` and the pages of the site side. No Python logic lives here."""

// What to ask for is in config.json, or in the address; from a chart the record adds iss and launch.
const given = Object.fromEntries(new URLSearchParams(location.search))
fetch('config.json').then(found => found.ok ? found.json() : {}).then(own => FHIR.oauth2.authorize({
  clientId: given.clientId || own.clientId,
  scope: given.scope || own.scope,
  iss: given.iss,
  redirectUri: 'index.html',
  pkceMode: 'required'
})).catch(error => { document.getElementById('state').textContent = 'refused: ' + error.message })

// What the client library makes of our answers, as JSON for the test to read.
async function look (client) {
  const ids = await client.request('Observation?_count=200', { flat: true }).then(found => found.map(one => one.id), error => String(error.message).slice(0, 200))
  return {
    patient: client.patient.id,
    name: await client.patient.read().then(one => one.name[0].family, error => String(error.message)),
    encounter: client.encounter.id,
    user: client.user.fhirUser,
    idToken: client.getIdToken(),
    scope: client.getState('tokenResponse.scope'),
    banner: client.getState('tokenResponse.need_patient_banner'),
    refreshable: Boolean(client.getState('tokenResponse.refresh_token')),
    token: client.getState('tokenResponse.access_token'),
    observations: ids
  }
}
function show (state, told) {
  document.getElementById('told').textContent = JSON.stringify(told)
  document.getElementById('state').textContent = state
}
FHIR.oauth2.ready().then(async client => {
  document.getElementById('again').onclick = () => client.refresh().then(() => look(client)).then(told => show('refreshed', told), error => show('refused', error.message))
  show('ready', await look(client))
}).catch(error => show('refused', error.message))

"""Pages: server-rendered, working without JavaScript; clinician pages in `clinician/`, forms in `forms/`."""

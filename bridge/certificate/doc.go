// Package certificate has what the program shows to those who connect over TLS: a
// certificate from files, which is read again when they change, or one that an
// authority issues (ACME). It knows of certificates and of nothing that is served.
package certificate

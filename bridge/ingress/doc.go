// Package ingress is the HTTP side of the bridge, and the only package that
// knows Echo. A webhook is read, verified and accepted in webhook.go, top to
// bottom; what is answered when that fails is in problem.go, and nowhere else.
package ingress

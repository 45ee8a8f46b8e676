package zenduty

import (
	"encoding/json"
	"fmt"
	"time"
)

// Event is a webhook for those who consume it: what happened, and to which
// incident. Its fields are those of Zenduty's guide to outgoing webhooks.
//
// A field that Zenduty may leave null is a pointer, and so is one whose zero means
// something, as an urgency of 0 is low: nil where the document has null or nothing.
// [Or] reads one with a fallback. A field that is no pointer is then at its zero value.
//
// What this package does not know, or what is of another type than it knows, is in
// Extra of the object in which it stands, as it was written; a field whose type has
// changed is then nil, or at its zero value. So nothing of a webhook is lost, and
// nothing that Zenduty adds or changes breaks a consumer.
//
// All strings are the sender's.
type Event struct {
	// Type is what happened, as EventTriggered. Others than the three may come. It
	// is never empty in what Parse returns.
	Type     string   `json:"event_type"`
	Incident Incident `json:"incident"`

	// Extra is what else stands in the payload.
	Extra map[string]json.RawMessage `json:"-"`
	// Document is what stands beside the payload; nil if the document is the
	// payload by itself, which it is if Zenduty has signed no more than that.
	Document map[string]json.RawMessage `json:"-"`

	read members `json:"-"`
}

// Time is when Zenduty says it happened, in UTC: the incident's AcknowledgedDate or
// ResolvedDate for an event of that type, else its CreationDate. Zero if unknown.
func (e *Event) Time() time.Time {
	switch e.Type {
	case EventAcknowledged:
		return Or(e.Incident.AcknowledgedDate, time.Time{})
	case EventResolved:
		return Or(e.Incident.ResolvedDate, time.Time{})
	}
	return e.Incident.CreationDate
}

// Or is the value of a field that may be nil, or the fallback if it is.
func Or[T any](field *T, fallback T) T {
	if field == nil {
		return fallback
	}
	return *field
}

// Incident is an incident as it was when the event happened.
type Incident struct {
	UniqueID string         `json:"unique_id"`       // the same in all events of one incident
	Number   int64          `json:"incident_number"` // by which people know it
	Key      string         `json:"incident_key"`
	Title    string         `json:"title"`
	Summary  string         `json:"summary"`
	Status   IncidentStatus `json:"status"` // 0 if unknown
	Urgency  *Urgency       `json:"urgency"`
	Service  Service        `json:"service"`

	AssignedTo *User `json:"assigned_to"` // nil while nobody has the incident
	// MergedWith is nil unless the incident was merged into another. What it is
	// then, Zenduty does not document.
	MergedWith json.RawMessage `json:"merged_with"`

	// All times are in UTC.
	CreationDate       time.Time  `json:"creation_date"`
	AcknowledgedDate   *time.Time `json:"acknowledged_date"` // nil until it is
	ResolvedDate       *time.Time `json:"resolved_date"`     // nil until it is
	ContextWindowStart *time.Time `json:"context_window_start"`
	ContextWindowEnd   *time.Time `json:"context_window_end"`

	Extra map[string]json.RawMessage `json:"-"`

	read members `json:"-"`
}

// Service is the service that an incident belongs to. Where Zenduty gives just the
// id of one, as in its REST API, there is nothing else.
type Service struct {
	UniqueID     string         `json:"unique_id"`
	Name         string         `json:"name"`
	Summary      string         `json:"summary"`
	Description  string         `json:"description"`
	Status       *ServiceStatus `json:"status"`
	CreationDate time.Time      `json:"creation_date"` // in UTC
	CreatedBy    string         `json:"created_by"`    // a user's name

	// The unique ids of what the service is made up of.
	Team             *string `json:"team"`
	EscalationPolicy *string `json:"escalation_policy"`
	SLA              *string `json:"sla"`
	TeamPriority     *string `json:"team_priority"`
	TaskTemplate     *string `json:"task_template"`

	// Settings whose unit Zenduty's guide leaves out; 0 is off.
	AcknowledgementTimeout *int64 `json:"acknowledgement_timeout"`
	AutoResolveTimeout     *int64 `json:"auto_resolve_timeout"`
	Collation              *int64 `json:"collation"`
	CollationTime          *int64 `json:"collation_time"`

	Extra map[string]json.RawMessage `json:"-"`

	read members `json:"-"`
}

// User is a person in Zenduty.
type User struct {
	Username  string `json:"username"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Email     string `json:"email"`

	Extra map[string]json.RawMessage `json:"-"`

	read members `json:"-"`
}

// IncidentStatus is how far an incident has got.
type IncidentStatus int64

// The statuses of an incident.
const (
	IncidentTriggered    IncidentStatus = 1
	IncidentAcknowledged IncidentStatus = 2
	IncidentResolved     IncidentStatus = 3
)

func (s IncidentStatus) String() string {
	return name(int64(s), "", "triggered", "acknowledged", "resolved")
}

// Urgency is how much an incident presses.
type Urgency int64

// The urgencies of an incident.
const (
	UrgencyLow  Urgency = 0
	UrgencyHigh Urgency = 1
)

func (u Urgency) String() string { return name(int64(u), "low", "high") }

// ServiceStatus is how a service is.
type ServiceStatus int64

// The statuses of a service.
const (
	ServiceDisabled         ServiceStatus = 0
	ServiceActive           ServiceStatus = 1
	ServiceWarning          ServiceStatus = 2
	ServiceCritical         ServiceStatus = 3
	ServiceUnderMaintenance ServiceStatus = 4
)

func (s ServiceStatus) String() string {
	return name(int64(s), "disabled", "active", "warning", "critical", "under maintenance")
}

// name is a number's name, or the number if it has none.
func name(n int64, names ...string) string {
	if n < 0 || n >= int64(len(names)) || names[n] == "" {
		return fmt.Sprint(n)
	}
	return names[n]
}

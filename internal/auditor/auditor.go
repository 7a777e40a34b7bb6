// Package auditor is the orchestrator: it takes one domain through past,
// collection, judgement, comparison and storage. The commands of the program
// call it and add nothing but flags and output.
package auditor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"mailaudit/internal/audit"
	"mailaudit/internal/collect"
	"mailaudit/internal/rules"
	"mailaudit/internal/store"
)

// Request is one audit to make.
type Request struct {
	Plan    collect.Plan
	Kind    audit.Kind     // "": KindAudit
	Target  string         // "": the domain of the plan
	Vantage string         // --vantage
	Proxy   netip.AddrPort // --proxy; invalid: none
	Tag     string         // --tag
	Note    string         // --note; store.CheckNote says which can be
	Timeout time.Duration  // for all observations; 0: DefaultTimeout
}

// DefaultTimeout is the time for the observations of one domain. Two
// addresses of one slow host with a second look each fit into it.
const DefaultTimeout = 5 * time.Minute

// Auditor makes audits. Store may be nil: then nothing is remembered and
// nothing compared.
type Auditor struct {
	Store   *store.DB
	Version string // of the program
	// Open prepares what the audits of one batch work with.
	Open func() Session
	Now  func() time.Time // nil: time.Now
}

// Session is what the audits of one batch share: their resolver, their prober.
type Session struct {
	// Work is the part of it for one audit.
	Work func(Request) Work
	// Drain waits for the last replies to QUIT, some seconds at most, or until
	// ctx ends. No result depends on it.
	Drain func(ctx context.Context)
	Close func() // frees everything
}

// Work is what one audit works with.
type Work struct {
	Config collect.Config
	// Queries are the questions that the audit relies on, for the sidecar; Sent
	// is how many of them left because of it.
	Queries func() []audit.Query
	Sent    func() int
}

// Result is an audit that was made.
type Result struct {
	Run   *audit.Run
	Delta *audit.Delta
	// History is since when each verdict of the run holds; nil without a store.
	History map[audit.Key]audit.Verdict
}

// audit makes one audit and stores it. The world not answering is no error:
// it is in the findings. An error is the store's; the Result is then still
// whole, but not stored. When ctx ends before the audit does, the run is
// stored as aborted and compared with nothing.
func (a *Auditor) audit(ctx context.Context, session Session, req Request) (Result, error) {
	now := a.Now
	if now == nil {
		now = time.Now
	}
	started := now().UTC().Truncate(time.Millisecond)
	run, prior, err := a.begin(ctx, req, started)
	if err != nil {
		return Result{}, err
	}
	req.Plan.FormerSPF = run.Snapshot.Past.SPFIncludes
	work := session.Work(req)
	collector := collect.New(work.Config, req.Plan)
	timeout := req.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	got := collector.Collect(limited)
	cancel()

	run.Snapshot.Facts = got.Facts
	run.Snapshot.Vantage.HELO = got.HELO
	if req.Proxy.IsValid() && got.HELO != "" {
		run.Snapshot.Vantage.Proxy = req.Proxy.String()
	}
	run.Sidecar = sidecar(work, got)
	run.Findings = rules.Evaluate(&run.Snapshot)
	run.Score = rules.Score(run.Kind, run.Snapshot.Scope, run.Findings)
	run.State = audit.Complete
	delta := &audit.Delta{Changes: []audit.Change{}, Facts: []audit.FactChange{}}
	if ctx.Err() != nil {
		run.State = audit.Aborted
	} else {
		delta = audit.Compare(prior, run, rules.Info())
	}
	run.Finished = now().UTC().Truncate(time.Millisecond)
	out := Result{Run: run, Delta: delta}
	if a.Store == nil {
		return out, nil
	}
	out.History = history(prior, run)
	err = a.Store.Finish(context.WithoutCancel(ctx), run)
	if err != nil {
		return out, fmt.Errorf("store the run: %w", err)
	}
	return out, nil
}

// begin reads the past and announces the run to the store, before anything is
// sent to anybody.
func (a *Auditor) begin(ctx context.Context, req Request, started time.Time) (*audit.Run, audit.Prior, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, audit.Prior{}, fmt.Errorf("make a run id: %w", err)
	}
	run := &audit.Run{
		UID: id.String(), Kind: cmp.Or(req.Kind, audit.KindAudit), State: audit.Running,
		Target: cmp.Or(req.Target, req.Plan.Domain.String()), Tag: req.Tag, Note: req.Note,
		Started: started, Tool: audit.Tool{Version: a.Version, Catalogue: rules.Version},
		Snapshot: audit.Snapshot{
			Domain: req.Plan.Domain, At: started, Scope: req.Plan.Scope, Vantage: audit.Vantage{Name: req.Vantage},
		},
	}
	if a.Store == nil {
		return run, audit.Prior{}, nil
	}
	prior, err := a.Store.Prior(ctx, run.Target, run.Kind, req.Vantage, req.Plan.Scope.Areas)
	if err != nil {
		return nil, audit.Prior{}, fmt.Errorf("read the history: %w", err)
	}
	run.Snapshot.Past, err = a.Store.Past(ctx, run.Target, run.Kind, req.Vantage)
	if err != nil {
		return nil, audit.Prior{}, fmt.Errorf("read the history: %w", err)
	}
	run.Snapshot.Past.Busy = busyBefore(prior)
	err = a.Store.Begin(ctx, run)
	if err != nil {
		return nil, audit.Prior{}, fmt.Errorf("begin the run: %w", err)
	}
	return run, prior, nil
}

// Stored reads a run back, with what changed in it since the run before.
func (a *Auditor) Stored(ctx context.Context, run *audit.Run) (Result, error) {
	out, _, err := a.stored(ctx, run)
	return out, err
}

// stored is Stored, with what the run was compared with.
func (a *Auditor) stored(ctx context.Context, run *audit.Run) (Result, audit.Prior, error) {
	out := Result{Run: run, Delta: audit.Compare(audit.Prior{}, run, rules.Info())}
	if run.State != audit.Complete {
		return out, audit.Prior{}, nil
	}
	prior, err := a.Store.PriorBefore(ctx, run)
	if err != nil {
		return Result{}, audit.Prior{}, fmt.Errorf("read the history: %w", err)
	}
	out.Delta, out.History = audit.Compare(prior, run, rules.Info()), history(prior, run)
	// The run before may have been pruned. Since when a verdict holds stays with
	// the run itself.
	own, err := a.Store.PriorOf(ctx, run.ID)
	if err != nil {
		return Result{}, audit.Prior{}, fmt.Errorf("read the history: %w", err)
	}
	for key, v := range out.History {
		known := own.Verdicts[key]
		if known.Status == v.Status && known.Since.Before(v.Since) {
			v.Since = known.Since
			out.History[key] = v
		}
	}
	return out, prior, nil
}

// Compare says what changed between two stored runs of one domain. Runs
// that cannot be compared are an *audit.InputError.
func (a *Auditor) Compare(ctx context.Context, older, newer *audit.Run) (Result, error) {
	if older.Target != newer.Target {
		return Result{}, &audit.InputError{
			Problem: fmt.Sprintf("runs %d and %d are about different domains: %s and %s", older.ID, newer.ID, older.Target, newer.Target),
			Hint:    "mailaudit runs " + newer.Target + " lists the runs that can be compared",
		}
	}
	for _, r := range []*audit.Run{older, newer} {
		if r.State != audit.Complete {
			return Result{}, &audit.InputError{Problem: fmt.Sprintf("run %d is %s; only complete runs are compared", r.ID, r.State)}
		}
	}
	out, before, err := a.stored(ctx, newer)
	if err != nil {
		return Result{}, err
	}
	prior, err := a.Store.PriorOf(ctx, older.ID)
	if err != nil {
		return Result{}, fmt.Errorf("read the history: %w", err)
	}
	if before.Base != nil && before.Base.ID > older.ID {
		prior.Last = before.Base
	}
	prior.OtherVantage = older.Snapshot.Vantage.Name != newer.Snapshot.Vantage.Name
	out.Delta = audit.Compare(prior, newer, rules.Info())
	return out, nil
}

// Rejudge evaluates the facts of a stored run with today's rules, without the
// network and without the store. The delta is against the stored judgement:
// what it shows, the rules changed and not the domain.
func Rejudge(run *audit.Run, version string) Result {
	again := *run
	again.Tool = audit.Tool{Version: version, Catalogue: rules.Version}
	again.Findings = rules.Evaluate(&again.Snapshot)
	again.Score = rules.Score(again.Kind, again.Snapshot.Scope, again.Findings)
	prior := audit.Prior{Base: run, Verdicts: history(audit.Prior{}, run)}
	return Result{Run: &again, Delta: audit.Compare(prior, &again, rules.Info()), History: history(prior, &again)}
}

// history says since when each verdict of a run holds.
func history(prior audit.Prior, run *audit.Run) map[audit.Key]audit.Verdict {
	out := map[audit.Key]audit.Verdict{}
	for _, f := range run.Findings {
		if !f.Status.Known() {
			continue
		}
		v := prior.Verdicts[f.Key()]
		if v.Status != f.Status {
			v.Since = run.Started
		}
		out[f.Key()] = audit.Verdict{Status: f.Status, Severity: f.Severity, Run: run.ID, Since: v.Since}
	}
	return out
}

// sidecar gathers what changes by itself.
func sidecar(w Work, got collect.Result) audit.Sidecar {
	hosts := map[audit.DNSName]bool{}
	for _, e := range got.Facts.SMTP {
		if e.Connect.State != audit.NotTried {
			hosts[e.Host] = true
		}
	}
	return audit.Sidecar{
		Queries: w.Queries(), Sessions: got.Sessions, SeenAs: seenAs(got.Sessions),
		Traffic: audit.Traffic{
			Questions: w.Sent(), Connections: got.Connections, Hosts: len(hosts), Addresses: got.Addresses, Shared: got.Shared,
		},
	}
}

// seenAs counts the servers that say from which address we came. Many sessions
// with one server are one witness.
func seenAs(sessions []audit.Session) []audit.SeenAs {
	witnesses := map[netip.Addr]map[string]bool{}
	for _, s := range sessions {
		if !s.SeenAs.IsValid() {
			continue
		}
		if witnesses[s.SeenAs] == nil {
			witnesses[s.SeenAs] = map[string]bool{}
		}
		// The address is the end of the subject; names are many for one server.
		_, server, _ := strings.Cut(s.Endpoint, "[")
		witnesses[s.SeenAs][server[:max(0, strings.LastIndexByte(server, ']'))]] = true
	}
	var out []audit.SeenAs
	for addr, by := range witnesses {
		out = append(out, audit.SeenAs{Addr: addr, Servers: len(by)})
	}
	slices.SortFunc(out, func(a, b audit.SeenAs) int {
		return cmp.Or(cmp.Compare(b.Servers, a.Servers), a.Addr.Compare(b.Addr))
	})
	return out[:min(len(out), audit.MaxSeenAs)]
}

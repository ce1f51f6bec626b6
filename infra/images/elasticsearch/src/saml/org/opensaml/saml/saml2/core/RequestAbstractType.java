// Stands in for a type of the SAML library that x-pack's actions name. Nothing calls it: there is no SAML realm.
package org.opensaml.saml.saml2.core;

public interface RequestAbstractType extends org.opensaml.core.xml.XMLObject {}
